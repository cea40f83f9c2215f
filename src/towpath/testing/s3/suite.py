"""What every S3 front door must do. Subclass the suite and give it its fixture.

class TestMine(S3Conformance):
    @pytest.fixture
    def s3(self): return S3(my_service.handle)  # with an empty bucket named "bucket"
"""

from towpath.testing.s3.bodies import Bodies
from towpath.testing.s3.listings import Listings
from towpath.testing.s3.objects import Objects
from towpath.testing.s3.reading import Reading
from towpath.testing.s3.tags import Tags
from towpath.testing.s3.uploads import Uploads


class S3Conformance(Objects, Reading, Tags, Bodies, Listings, Uploads):
    """What clients of S3 rely on. Give it a fixture `s3` with an empty bucket named `bucket`."""
