"""The routes of the document "Token and API key API"."""

from django.urls import path, re_path

from edi_auth import views

urlpatterns = [
    path("auth/v1/token/refresh", views.RefreshViewSet.as_view({"post": "create"}), name="refresh"),
    path(
        "auth/v1/token/<str:edi_id>",
        views.ProfileTokensViewSet.as_view({"post": "create", "put": "update", "delete": "destroy"}),
        name="profile-tokens",
    ),
    path("auth/v1/public-key", views.PublicKeyViewSet.as_view({"get": "retrieve"}), name="public-key"),
    path("auth/v1/key", views.KeyViewSet.as_view({"post": "create"}), name="exchange"),
    path("auth/v1/ping", views.PingViewSet.as_view({"get": "retrieve"}), name="ping"),
    re_path(r"^auth/v1(/[\s\S]*)?\Z", views.NotFoundView.as_view()),
]
