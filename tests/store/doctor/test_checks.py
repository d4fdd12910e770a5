"""Every check finds its own fault and no other; what can be repaired is."""

import pytest
from doctoring import Site
from faults import FAULTS, Fault

from cvfp_opt.store.doctor.checks import CHECKS


def test_nothing_is_found_in_a_healthy_database(site: Site) -> None:
    report = site.examine()
    assert report.findings == ()
    assert report.made == tuple(CHECKS)
    assert (report.num_studies, report.num_ours, report.num_trials) == (1, 1, 5)


def test_every_check_has_a_fault_to_find() -> None:
    assert {fault.check for fault in FAULTS} == set(CHECKS)


def name_of(fault: Fault) -> str:
    return f"{fault.check}: {fault.says}"


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_a_fault_is_found_by_its_check_alone_and_mended(fault: Fault, site: Site) -> None:
    fault.plant(site)
    report = site.examine()
    [(name, finding)] = report.findings
    assert name == fault.check
    assert fault.says in finding.line
    assert "\n" not in finding.line
    assert finding.harmless == fault.harmless
    assert (finding.repair is not None) == fault.repairs
    left = site.mend(report)
    if fault.repairs:
        assert left.findings == ()
        assert fault.stays(site)
        assert site.told
        assert all(line.startswith("mended: ") for line in site.told)
    else:
        assert [found.line for _, found in left.findings] == [finding.line]
        assert site.told == []
    if fault.cure is not None:
        fault.cure(site)
        assert site.examine().findings == ()
