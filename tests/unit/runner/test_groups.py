"""Where control groups can be made, read from what the kernel tells of this process."""

from pathlib import Path

from towpath.runner.groups import Hierarchy, hierarchies

FIRST = """\
31 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 31 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 31 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
SECOND = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_groups_are_made_below_the_one_around_us() -> None:
    found = hierarchies("5:memory:/service/a\n3:cpu,cpuacct:/\n0::/\n", FIRST)
    assert found[:2] == [
        Hierarchy("cpu", 1, (Path("/sys/fs/cgroup/cpu,cpuacct"),)),
        Hierarchy("memory", 1, (Path("/sys/fs/cgroup/memory/service/a"),)),
    ]
    assert all(hierarchy.version == 2 for hierarchy in found[2:])


def test_in_version_2_the_parent_may_have_room_where_our_own_group_is_in_use() -> None:
    found = hierarchies("0::/towpath.service/server\n", SECOND)
    parents = (Path("/sys/fs/cgroup/towpath.service/server"), Path("/sys/fs/cgroup/towpath.service"))
    assert found == [Hierarchy("memory", 2, parents), Hierarchy("cpu", 2, parents)]
    assert hierarchies("0::/\n", SECOND)[0].parents == (Path("/sys/fs/cgroup"),)


def test_what_is_mounted_of_a_hierarchy_is_not_named_twice() -> None:
    mounts = "33 31 0:28 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert hierarchies("5:memory:/docker/1/job\n", mounts)[0].parents == (Path("/sys/fs/cgroup/memory/job"),)


def test_a_host_without_control_groups_has_none() -> None:
    assert hierarchies("", "22 1 0:20 / / rw - ext4 /dev/root rw\n") == []
