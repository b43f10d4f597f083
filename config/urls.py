"""All routes: one line per issuer, then what people open."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from config import views
from tokens.core.http import Negotiation

# The framework's page of each app shows less than the sidebar does.
APPS = sorted({model._meta.app_label for model in admin.site._registry})  # noqa: SLF001 — has no other

urlpatterns = [
    path("", include("podcast_perf.urls")),
    path("", include("tokens.urls")),
    path("", include("tokens.oauth.urls")),
    path("", include("edi_auth.urls")),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
    path("", views.landing, name="landing"),
    path("admin/", include("tokens.core.admin.overview")),
    path("admin/", include("tokens.sign_in")),
    *(path(f"admin/{label}/", RedirectView.as_view(pattern_name="admin:index")) for label in APPS),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(content_negotiation_class=Negotiation), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema", metadata_class=None), name="docs"),
]

handler400 = "config.views.bad_request"
handler404 = "config.views.not_found"
handler500 = "config.views.server_error"
