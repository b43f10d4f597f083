"""The route of the document "Using the `/token` Endpoint"."""

from django.urls import path, re_path

from podcast_perf import views

urlpatterns = [
    path("token", views.TokenViewSet.as_view({"get": "retrieve", "head": "check"}), name="performance-token"),
    re_path(r"^token/[\s\S]*\Z", views.NotFoundView.as_view()),
]
