"""What the browser may load and run on our pages: a constant header."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

POLICY = (
    "default-src 'none'; base-uri 'none'; connect-src 'self'; font-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; img-src 'self' data:; manifest-src 'self'; "
    "style-src 'self' 'unsafe-inline'; script-src 'self'"
)
# The theme of the admin evaluates the expressions in its attributes (Alpine).
ADMIN_POLICY = f"{POLICY} 'unsafe-eval'"


class ContentSecurityPolicyMiddleware:
    """Adds the policy; under `/admin` the one that its theme needs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The response to `request`."""
        response = self.get_response(request)
        response["Content-Security-Policy"] = ADMIN_POLICY if request.path_info.startswith("/admin") else POLICY
        return response
