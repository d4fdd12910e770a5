"""``python -m cvfp_opt`` is ``cvfp-opt``."""

from cvfp_opt.cli import main

if __name__ == "__main__":
    main()
