"""One study: definition, space, sampler, pruner, objective, runner."""
