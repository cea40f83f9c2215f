"""Names and addresses of the hosts of one job."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from towpath.runner.network import addresses, named_in, with_names

HOSTS = ["algo-1", "algo-2"]


@given(key=st.text(min_size=1), count=st.integers(1, 100))
def test_each_host_has_an_address_of_its_own_on_the_loopback(key: str, count: int) -> None:
    hosts = [f"algo-{number}" for number in range(1, count + 1)]
    found = addresses(key, hosts)
    assert list(found) == hosts
    assert len(set(found.values())) == count
    assert all(ipaddress.ip_address(address).is_loopback for address in found.values())
    assert not {address for address in found.values() if address.startswith("127.0.")}
    assert found == addresses(key, hosts), "a repeat gives the same"


def test_other_jobs_have_other_addresses() -> None:
    assert len({addresses(f"{number}-1", HOSTS)["algo-1"] for number in range(50)}) == 50


def test_names_are_added_and_all_others_stay() -> None:
    text = with_names("127.0.0.1 localhost vm\n10.0.0.7 algo-1 old\n# a comment", {"algo-1": "127.9.9.1"})
    assert text == "127.9.9.1\talgo-1\n127.0.0.1 localhost vm\n# a comment\n"


def test_an_address_for_each_host_is_found_in_a_file_that_has_them_all() -> None:
    known = "127.0.0.1 localhost\n127.0.0.2 algo-1 # ours\n127.0.0.3\talgo-2 other\n"
    assert named_in(known, HOSTS) == {"algo-1": "127.0.0.2", "algo-2": "127.0.0.3"}
    assert named_in(known, [*HOSTS, "algo-3"]) is None
    assert named_in("127.0.0.2 algo-1 algo-2\n", HOSTS) is None, "one address would be one host"
    assert named_in("10.0.0.2 algo-1\n10.0.0.3 algo-2\n", HOSTS) is None, "those are other machines"
    assert named_in("", HOSTS) is None
