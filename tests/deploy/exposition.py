"""A text as ``GET /metrics`` of ``cvfp-opt serve`` gives it: two studies and their workers."""

TEXT = """\
# HELP cvfp_opt_build_info 1.
# TYPE cvfp_opt_build_info gauge
cvfp_opt_build_info{version="0.2.0"} 1
# TYPE cvfp_opt_studies gauge
cvfp_opt_studies{stage="running"} 1
cvfp_opt_studies{stage="waiting"} 1
cvfp_opt_studies{stage="paused"} 0
cvfp_opt_studies{stage="cancelled"} 0
cvfp_opt_studies{stage="budget spent"} 0
cvfp_opt_studies{stage="done"} 0
cvfp_opt_studies{stage="no total"} 0
# TYPE cvfp_opt_study_stage gauge
cvfp_opt_study_stage{study="a",stage="running"} 1
cvfp_opt_study_stage{study="b \\"x\\"",stage="waiting"} 1
# TYPE cvfp_opt_trials gauge
cvfp_opt_trials{study="a",state="complete"} 30
cvfp_opt_trials{study="a",state="pruned"} 3
cvfp_opt_trials{study="a",state="fail"} 1
cvfp_opt_trials{study="a",state="running"} 2
cvfp_opt_trials{study="a",state="waiting"} 0
cvfp_opt_trials{study="b \\"x\\"",state="complete"} 0
cvfp_opt_trials{study="b \\"x\\"",state="pruned"} 0
cvfp_opt_trials{study="b \\"x\\"",state="fail"} 0
cvfp_opt_trials{study="b \\"x\\"",state="running"} 0
cvfp_opt_trials{study="b \\"x\\"",state="waiting"} 0
# TYPE cvfp_opt_study_trials_wanted gauge
cvfp_opt_study_trials_wanted{study="a"} 50
cvfp_opt_study_trials_wanted{study="b \\"x\\""} 20
# TYPE cvfp_opt_study_trials_to_begin gauge
cvfp_opt_study_trials_to_begin{study="a"} 14
cvfp_opt_study_trials_to_begin{study="b \\"x\\""} 20
# TYPE cvfp_opt_study_workers gauge
cvfp_opt_study_workers{study="a"} 2
cvfp_opt_study_workers{study="b \\"x\\""} 0
# TYPE cvfp_opt_study_last_start_timestamp_seconds gauge
cvfp_opt_study_last_start_timestamp_seconds{study="a"} 1700000000
cvfp_opt_study_last_start_timestamp_seconds{study="b \\"x\\""} 1700000000
# TYPE cvfp_opt_study_budget_seconds gauge
cvfp_opt_study_budget_seconds{study="a"} 7200
# TYPE cvfp_opt_study_budget_spent gauge
cvfp_opt_study_budget_spent{study="a"} 0
cvfp_opt_study_budget_spent{study="b \\"x\\""} 0
# TYPE cvfp_opt_study_best_score gauge
cvfp_opt_study_best_score{study="a"} 0.91
# TYPE cvfp_opt_study_untrained_score gauge
cvfp_opt_study_untrained_score{study="a"} 0.84
# TYPE cvfp_opt_study_confirmed gauge
cvfp_opt_study_confirmed{study="a"} 0
# TYPE cvfp_opt_trial_duration_seconds summary
cvfp_opt_trial_duration_seconds_sum{study="a"} 1020
cvfp_opt_trial_duration_seconds_count{study="a"} 34
# TYPE cvfp_opt_takeovers_total counter
cvfp_opt_takeovers_total{study="a"} 1
# TYPE cvfp_opt_trials_lost_total counter
cvfp_opt_trials_lost_total{study="a"} 0
# TYPE cvfp_opt_workers gauge
cvfp_opt_workers{state="starting"} 0
cvfp_opt_workers{state="running"} 2
cvfp_opt_workers{state="idle"} 0
cvfp_opt_workers{state="draining"} 0
cvfp_opt_workers{state="stopping"} 0
cvfp_opt_workers{state="gone"} 0
# TYPE cvfp_opt_worker_last_seen_timestamp_seconds gauge
cvfp_opt_worker_last_seen_timestamp_seconds{worker="3f2a",host="node1"} 1700000000
# TYPE cvfp_opt_unsent_results gauge
cvfp_opt_unsent_results 2
# TYPE cvfp_opt_scrape_seconds gauge
cvfp_opt_scrape_seconds 0.02
"""
