"""A server of studies in a thread, as `cvfp-opt serve` makes it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cvfp_opt.report.dashboard.server import Address, Server
from cvfp_opt.service.desk import Desk
from cvfp_opt.service.serving import make_rules, make_service
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.files.artifact_stores import open_artifacts


@contextmanager
def serving(location: Location, *, token_needed: bool = False) -> Iterator[str]:
    """Serve a database; give the server's URL."""
    address = Address(host="127.0.0.1", port=0)
    names = ("elsewhere.example",) if token_needed else ()
    with open_for_search(location) as store:
        desk = Desk(store=store, files=open_artifacts(location, None))
        server = Server(make_service(desk, make_rules(store, address, names), print), address)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.stop()
            thread.join(20)
            assert not thread.is_alive()
