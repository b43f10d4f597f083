"""`/badge`."""

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSetMixin

from tests.contracts.fourth import dialect
from tests.contracts.fourth.models import Badge
from tokens.core.authentication import BearerAuthentication
from tokens.core.http import API


class BadgeAuthentication(BearerAuthentication):
    """Takes badges for bearers."""

    kind = Badge.kind


class HasBadge(BasePermission):
    """Whoever has a badge."""

    def has_permission(self, request: Request, view: API) -> bool:
        return isinstance(request.user, Badge)


class BadgeViewSet(ViewSetMixin, API):
    """Tells the holder of a badge its number."""

    handler = dialect.exception_handler
    authentication_classes = (BadgeAuthentication,)
    permission_classes = (HasBadge,)

    @extend_schema(operation_id="getBadge", request=None, responses={200: None})
    def retrieve(self, request: Request) -> Response:
        return Response({"badge": request.user.number})
