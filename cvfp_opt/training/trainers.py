"""The trainers there are."""

from collections.abc import Mapping

from cvfp_opt.training.batch import train_batch
from cvfp_opt.training.online import train_online
from cvfp_opt.training.run import Trainer

TRAINERS: Mapping[str, Trainer] = {"batch": train_batch, "online": train_online}
