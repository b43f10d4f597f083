"""The route of this app."""

from django.urls import path

from tests.contracts.fourth import views

urlpatterns = [path("badge", views.BadgeViewSet.as_view({"get": "retrieve"}))]
