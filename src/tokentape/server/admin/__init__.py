"""What an operator sees and does over HTTP: `/v1/admin/…` (docs/admin.md)."""

from tokentape.server.admin.admin import Admin
from tokentape.server.admin.routes import OPERATIONS

__all__ = ["OPERATIONS", "Admin"]
