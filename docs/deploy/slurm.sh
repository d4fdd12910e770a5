#!/bin/bash
# Workers of one study as a job array of SLURM: sbatch array.sh. Each takes trials until the total
# is reached; one whose walltime ends gives its trial back.
#SBATCH --job-name=cvfp-opt
#SBATCH --array=1-16
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --time=08:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
cd /shared/cvfp-opt && source venv/bin/activate || exit 1
export CVFP_OPT_STORAGE=postgresql://cvfp@db.example/cvfp
export CVFP_OPT_ARTIFACTS=/shared/cvfp-opt/artifacts
exec srun cvfp-opt run recommended --n-trials 500
