"""optuna-dashboard on our storage, behind a gate, and what a study's page shows there."""
