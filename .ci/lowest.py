"""Print the lowest versions that users may have, by setup.cfg, as constraints for pip.

Without torch: some of its versions are built for few systems, and each takes half a gigabyte.
"""

from configparser import ConfigParser
from pathlib import Path

from packaging.requirements import Requirement

setup = ConfigParser()
setup.read(Path(__file__).parents[1] / "setup.cfg")
extras = {name: text for name, text in setup.items("options.extras_require") if name != "test"}
for line in "\n".join([setup["options"]["install_requires"], *extras.values()]).split():
    requirement = Requirement(line)
    if requirement.name != "torch":
        (lowest,) = (one.version for one in requirement.specifier if one.operator == ">=")
        print(f"{requirement.name}=={lowest}")
