"""All settings, read from the environment or from `.env` (`ENV_FILE` names another file; the environment wins)."""

import os
from pathlib import Path
from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy

from config import env

BASE_DIR = Path(__file__).resolve().parent.parent
ENV_FILE = env.path("ENV_FILE", ".env", base=BASE_DIR)
env.load(ENV_FILE)
VAR_DIR = BASE_DIR / "var"

DEBUG = env.boolean("DEBUG", False)
SECRET_KEY = env.text("SECRET_KEY")
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
PORT = env.integer("PORT", 7000, low=1, high=65535)
WORKERS = env.integer("WORKERS", min(os.cpu_count() or 2, 8), low=1, high=256)
THREADS = env.integer("THREADS", 4, low=1, high=128)

# Performance tokens, `GET /token`
PERFORMANCE_SECRET_KEY = env.text("PERFORMANCE_SECRET_KEY")
PERFORMANCE_SECRET_KEY_NEXT = env.text("PERFORMANCE_SECRET_KEY_NEXT")
PERFORMANCE_SECRET_KEY_FALLBACKS = tuple(env.texts("PERFORMANCE_SECRET_KEY_FALLBACKS"))
PERFORMANCE_PUBLIC_KEY = env.text("PERFORMANCE_PUBLIC_KEY")
EXPIRES_IN = env.hours("EXPIRES_IN", "1", high=24 * 366)
PERFORMANCE_LISTENER_TOKENS = env.boolean("PERFORMANCE_LISTENER_TOKENS", False)
PERFORMANCE_LISTENER_MAX_HOURS = env.integer("PERFORMANCE_LISTENER_MAX_HOURS", 24, low=1, high=24 * 366)
PERFORMANCE_TOKEN_KEEP_DAYS = env.integer("PERFORMANCE_TOKEN_KEEP_DAYS", 30, low=0, high=3660)
PUBLISHER_DEFAULT_LIFETIME, PUBLISHER_MAX_LIFETIME = env.lifetimes("PUBLISHER")

# Named tokens, `/_/token`
TOKENS_SECRET_KEY = env.text("TOKENS_SECRET_KEY")
TOKENS_SECRET_KEY_NEXT = env.text("TOKENS_SECRET_KEY_NEXT")
TOKENS_SECRET_KEY_FALLBACKS = tuple(env.texts("TOKENS_SECRET_KEY_FALLBACKS"))
NAMED_TOKEN_DEFAULT_LIFETIME, NAMED_TOKEN_MAX_LIFETIME = env.lifetimes("NAMED_TOKEN")

# EDI and PASTA tokens, `/auth/v1`
EDI_JWT_PRIVATE_KEY_PATH = env.path("EDI_JWT_PRIVATE_KEY_PATH", "var/keys/edi.pem", base=BASE_DIR)
EDI_JWT_ISSUER = env.http_url("EDI_JWT_ISSUER", "https://auth.edirepository.org")
EDI_JWT_HOSTED_DOMAIN = env.host("EDI_JWT_HOSTED_DOMAIN", "edirepository.org")
EDI_TOKEN_HOURS = env.integer("EDI_TOKEN_HOURS", 8, low=1, high=24 * 31)
EDI_MAX_SESSION_HOURS = env.integer("EDI_MAX_SESSION_HOURS", 0, low=0, high=24 * 366)
EDI_SERVICE_KEY = env.text("EDI_SERVICE_KEY")
EDI_ADMIN_IDS = env.alike("EDI_ADMIN_IDS", "EDI-[0-9a-f]{40}", "EDI-IDs")
API_KEY_DEFAULT_LIFETIME, API_KEY_MAX_LIFETIME = env.lifetimes("API_KEY")
EDI_REVOCATION_SECONDS = env.integer("EDI_REVOCATION_SECONDS", 2, low=1, high=3600)
EDI_REVOCATION_MAX_AGE = env.integer("EDI_REVOCATION_MAX_AGE", 0, low=0, high=24 * 3600)
PASTA_PRIVATE_KEY_PATH = env.path("PASTA_PRIVATE_KEY_PATH", "var/keys/pasta.pem", base=BASE_DIR)
PASTA_TTL_ROUNDING_SECONDS = env.integer("PASTA_TTL_ROUNDING_SECONDS", 60, low=0, high=60)
PASTA_SYSTEM = env.http_url("PASTA_SYSTEM", "https://pasta.edirepository.org/authentication")

DATABASES = {
    "default": env.database("DATABASE_URL", "sqlite:///var/registry.sqlite3", base=BASE_DIR, threads=THREADS + 2)
}
CACHES = {"default": env.cache("CACHE_URL")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "tokens",
    "podcast_perf",
    "edi_auth",
]

# The APIs pass through `API_MIDDLEWARE` alone; `SITE_PATHS` name the pages that people open, which get it all.
API_MIDDLEWARE = ["tokens.core.operations.traces.TraceMiddleware", "tokens.core.http.RequestMiddleware"]
SITE_PATHS = ("/admin", "/api/", "/static/")
MIDDLEWARE = [
    *API_MIDDLEWARE,
    "config.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "tokens.sign_in.SecondFactorMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
APPEND_SLASH = True

# gunicorn takes it off every path, by the same variable.
SCRIPT_NAME = env.prefix("SCRIPT_NAME")
FORCE_SCRIPT_NAME = SCRIPT_NAME or None
STATIC_URL = f"{SCRIPT_NAME}/static/"
# Without STATIC_ROOT, the folder that `collectstatic` has filled, files are served from where the packages keep them.
STATIC_ROOT = env.path("STATIC_ROOT", "var/static", base=BASE_DIR)
WHITENOISE_USE_FINDERS = not env.text("STATIC_ROOT")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if WHITENOISE_USE_FINDERS
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
PASSWORD_HASHERS = [
    "config.hashers.Argon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
# Every operator needs a second factor; where this is false, a superuser can still require it of one or another.
SECOND_FACTOR_REQUIRED = env.boolean("SECOND_FACTOR_REQUIRED", False)
OTP_TOTP_ISSUER = "Token registry"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
# By itself it would take the address of the proxy, and lock out everybody who comes through that.
AXES_CLIENT_IP_CALLABLE = "tokens.core.http.client_address"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# Whoever serves over plain HTTP (a laptop, a test) says HTTPS_ONLY=false.
HTTPS_ONLY = env.boolean("HTTPS_ONLY", not DEBUG)
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS_ONLY else 0
# Other hosts of the domain, and what else is on this one, are not the registry's to speak for.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{SCRIPT_NAME}/"
SESSION_ENGINE = "config.sessions"
SESSION_COOKIE_SECURE = HTTPS_ONLY
CSRF_COOKIE_SECURE = HTTPS_ONLY
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 8 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
TRUSTED_PROXIES, TRUSTS_UNIX_SOCKET = env.proxies("TRUSTED_PROXIES")
CSRF_TRUSTED_ORIGINS = env.alike(
    "CSRF_TRUSTED_ORIGINS", r"https?://[A-Za-z0-9.*_\[\]:-]+", "origins such as https://host"
)
METRICS_ALLOWED_NETWORKS = env.networks("METRICS_ALLOWED_NETWORKS", "127.0.0.1,::1")

MAX_BODY_BYTES = DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = None  # as many as there is room for, such as members of a group
FILE_UPLOAD_HANDLERS = ["config.uploads.NoFiles"]
# Per address and minute; 0 counts nothing.
MAX_FAILURES = env.integer("MAX_FAILURES", 60, low=0, high=1_000_000)
REVOKE_BY_POSSESSION = env.boolean("REVOKE_BY_POSSESSION", True)
MAX_UNAUTHENTICATED = env.integer("MAX_UNAUTHENTICATED", 60, low=0, high=1_000_000)

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Token registry",
    "DESCRIPTION": "Three documented token APIs behind one registry.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "ENUM_NAME_OVERRIDES": {"StateEnum": "tokens.core.models.State"},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": ["tokens.core.schema.complete"],
}
UNFOLD = {
    "SITE_TITLE": "Token registry",
    "SITE_HEADER": "Token registry",
    "SITE_ICON": lambda _request: static("registry/mark.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("registry/mark.svg")}],
    "SITE_URL": f"{SCRIPT_NAME}/",
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_HISTORY": False,
    "DASHBOARD_CALLBACK": "tokens.core.admin.overview.context_of",
    "STYLES": [lambda _request: static("registry/admin.css")],
    "SCRIPTS": [lambda _request: static("registry/admin.js")],
    "ACCOUNT": {
        "navigation": [
            {"title": "Second factor", "link": reverse_lazy("second_factor")},
            {"title": "Change password", "link": reverse_lazy("admin:password_change")},
        ],
    },
    "SIDEBAR": {"navigation": "config.sidebar.navigation"},
}

# Mail, and who is told of credentials that are about to expire
_MAIL = env.mail("EMAIL_URL")
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _MAIL.backend, _MAIL.host, _MAIL.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _MAIL.user, _MAIL.password
EMAIL_USE_TLS, EMAIL_USE_SSL = _MAIL.use_tls, _MAIL.use_ssl
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = next(iter(env.addresses("EMAIL_FROM")), "registry@localhost")
NOTIFY_EMAILS = env.addresses("NOTIFY_EMAILS")
NOTIFY_WEBHOOK_URL = env.http_url("NOTIFY_WEBHOOK_URL", "") if env.text("NOTIFY_WEBHOOK_URL") else ""
NOTIFY_WEBHOOK_SECRET = env.text("NOTIFY_WEBHOOK_SECRET")

LOG_FORMAT = env.log_format("LOG_FORMAT")
# Whatever else Django calls suspicious has its traceback in the log.
CLIENT_FAULTS = "DisallowedHost", "DisallowedRedirect", "RequestDataTooBig", "TooManyFieldsSent", "TooManyFilesSent"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "tokens.core.operations.logs.formatter", "log_format": LOG_FORMAT}},
    "filters": {
        "is_fault": {"()": "tokens.core.operations.logs.IsFault"},
        "tracebackless": {"()": "tokens.core.operations.logs.Tracebackless"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"level": "ERROR", "filters": ["is_fault"]},
        **{f"django.security.{name}": {"filters": ["tracebackless"]} for name in CLIENT_FAULTS},
        "psycopg.pool": {"level": "ERROR"},
        "django.server": {"handlers": [], "propagate": True},
    },
}
