#!/bin/bash
# Workers as a job array of SLURM: sbatch slurm.sh. Each serves what is submitted, and ends when nothing
# is left to begin. Two minutes before its walltime it gives its trials back, and queues up again.
#SBATCH --job-name=cvfp-opt
#SBATCH --array=1-16
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=worker-%A_%a.log
cd /shared/cvfp-opt && . venv/bin/activate && . ./settings || exit

cvfp-opt worker --until-idle --n-jobs 1 --threads "${SLURM_CPUS_PER_TASK:-1}" &
worker=$!
# USR1 is the walltime's, for this shell alone. A TERM comes from scancel, after which nobody wants to
# queue up again, and has been sent to the worker, too: a second one would have it stop at once
again=
trap 'again=yes; kill -TERM "$worker"' USR1
trap : TERM
code=0
while kill -0 "$worker" 2>/dev/null; do
    wait "$worker"
    code=$?
done
[ -z "$again" ] || [ "$code" -eq 0 ] || exec scontrol requeue "$SLURM_JOB_ID"
exit "$code"
