"""What `towpath doctor` looks at: the home, the server that runs, and what this host can do for jobs."""

from towpath.cli.checks.check import OK, WARNING, WRONG, Check
from towpath.cli.checks.home import home_checks
from towpath.cli.checks.host import host_checks
from towpath.cli.checks.running import running_checks
from towpath.cli.checks.settings import settings_checks

__all__ = ["OK", "WARNING", "WRONG", "Check", "home_checks", "host_checks", "running_checks", "settings_checks"]
