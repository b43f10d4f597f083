"""The routes of the project with one more line."""

from django.urls import include, path

from config import urls

urlpatterns = [path("", include("tests.contracts.fourth.urls")), *urls.urlpatterns]
handler404, handler500 = urls.handler404, urls.handler500
