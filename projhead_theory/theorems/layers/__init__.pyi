from ._views import views_claim

__all__ = ["views_claim"]
