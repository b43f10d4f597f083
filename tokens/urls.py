"""The routes of the Token document."""

from django.urls import path, re_path

from tokens import views

urlpatterns = [
    path(
        "_/token",
        views.TokenViewSet.as_view({"post": "create", "get": "list", "put": "update", "delete": "destroy"}),
        name="named-tokens",
    ),
    path(
        "_/token/rotate", views.RotateViewSet.as_view({"post": "create", "get": "retrieve"}), name="named-token-rotate"
    ),
    path("_/token/value", views.ValueViewSet.as_view({"get": "retrieve"}), name="named-token-value"),
    re_path(r"^_(/[\s\S]*)?\Z", views.NotFoundView.as_view()),
]
