"""The routes of RFC 7662, RFC 7009 and RFC 7517."""

from django.urls import path

from tokens.oauth import views

urlpatterns = [
    path("introspect", views.IntrospectViewSet.as_view({"post": "create"}), name="introspect"),
    path("revoke", views.RevokeViewSet.as_view({"post": "create"}), name="revoke"),
    path(".well-known/jwks.json", views.JWKSViewSet.as_view({"get": "retrieve"}), name="jwks"),
]
