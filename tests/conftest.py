"""What all levels of test share."""

import os

from hypothesis import settings

# A shared machine is slow now and then: how long one example takes proves nothing. CI tries the same examples every
# time, so that a change is never blamed for what chance found; developers' runs look for new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")
