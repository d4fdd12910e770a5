"""A hook that tells people by mail, Slack, ntfy and a hundred others: by the package apprise."""

import importlib
from dataclasses import dataclass, field
from types import ModuleType

from cvfp_opt.errors import NotifyError
from cvfp_opt.escaping import excerpt, printable
from cvfp_opt.notify.hook import Keys, Outcome
from cvfp_opt.store.record.event import Event

KEYS = ("urls",)


@dataclass(frozen=True, kw_only=True)
class AppriseUrls:
    """Receivers, as URLs of apprise.

    Attributes:
        urls: of the receivers; secrets are in them.
    """

    urls: tuple[str, ...] = field(repr=False)

    @property
    def shown(self) -> str:
        """The kinds of the receivers."""
        return ", ".join(f"{printable(url.partition('://')[0])}://…" for url in self.urls)

    def deliver(self, event: Event, seconds: float) -> Outcome:
        """Tell all of them; each waits as long as apprise does, some seconds."""
        apprise = _package()
        try:
            # what it says goes into its log, and would else be printed
            with apprise.LogCapture(level=apprise.logging.WARNING) as said:
                receivers = apprise.Apprise()
                known = [receivers.add(url) for url in self.urls]
                told = all(known) and receivers.notify(
                    title=f"cvfp-opt: {event.kind}", body=event.text
                )
                words = said.getvalue()
        except Exception as error:  # of any of its hundred plugins
            return Outcome(why=f"{self.shown}: {type(error).__name__}")
        if not all(known):
            place = known.index(False)
            return Outcome(why=f"{self.shown}: apprise does not know URL {place + 1} of its list")
        if told:
            return Outcome()
        for secret in self.urls:
            words = words.replace(secret, "***")
        last = words.strip().splitlines()[-1:]
        return Outcome(why=f"{self.shown}: not told{f': {excerpt(last[0])}' if last else ''}")


def _package() -> ModuleType:
    return importlib.import_module("apprise")


def read_apprise(keys: Keys) -> AppriseUrls:
    """Read one of the file's keys.

    Raises:
        NotifyError: they are not as required, or the package is not installed.
    """
    urls = keys.texts("urls", required=True)
    for url in urls:
        if "://" not in url:
            raise keys.refusal("urls", "a list of URLs of apprise is required", url)
    try:
        _package()
    except ImportError as reason:
        raise NotifyError(
            f"{keys.where}: the package apprise is required ({reason}); "
            "type `pip install 'cvfp-opt[notify]'`"
        ) from None
    return AppriseUrls(urls=urls)
