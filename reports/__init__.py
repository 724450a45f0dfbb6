"""The outside of the notebooks: what runs them and makes pages of them."""

import sys
from typing import cast

# Whoever imports nbformat gets jsonschema, and with it, where this is installed, a parser of addresses whose grammar
# takes seconds to build. No notebook's schema asks for it, and jsonschema does without what cannot be imported.
cast(dict, sys.modules).setdefault("rfc3987_syntax", None)
