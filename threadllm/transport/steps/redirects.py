"""What does not follow a redirect to another origin: keys, in the headers of providers' own too.

Requests takes Authorization off, by the rule of `should_strip_auth`, and lets all else go along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests.sessions

from threadllm.transport.originals import Originals

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest, Response

# Headers that carry a key beside Authorization, Cookie and Proxy-Authorization, which requests
# sees to itself; who wants them, by their own documentation.
_KEYS = (
    "api-key",  # Azure OpenAI: learn.microsoft.com/azure/ai-services/openai/reference
    "cf-aig-authorization",  # Cloudflare: developers.cloudflare.com/ai-gateway/configuration
    "helicone-auth",  # Helicone: docs.helicone.ai/helicone-headers/header-directory
    "ocp-apim-subscription-key",  # Azure: learn.microsoft.com/azure/ai-services/authentication
    "x-amz-security-token",  # AWS: docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html
    "x-api-key",  # Anthropic: docs.anthropic.com/en/api/overview
    "x-goog-api-key",  # Gemini: ai.google.dev/api
    "x-portkey-api-key",  # Portkey: portkey.ai/docs/api-reference/inference-api/headers
    "x-subscription-token",  # Brave: api-dashboard.search.brave.com/documentation
    "xi-api-key",  # ElevenLabs: elevenlabs.io/docs/api-reference/authentication
)
_PASSED_BY = Originals(
    [(requests.sessions.SessionRedirectMixin, "rebuild_auth", requests.sessions)]
)


def rebuild_auth(
    found: Callable[..., None],
    session: requests.Session,
    prepared_request: PreparedRequest,
    response: Response,
    *,
    over_others: bool = False,
) -> None:
    """What `requests.Session.rebuild_auth` does, by way of `found`, and keys stay behind too.

    Credentials from ~/.netrc do not take the place of an Authorization that may stay, unless
    `found` is somebody's own, who wants to be asked.
    """
    headers: Any = prepared_request.headers
    keys = [name for name in _KEYS if name in headers]
    stays = "Authorization" in headers
    if stays or keys:
        before, now = str(response.request.url), str(prepared_request.url)
        if session.should_strip_auth(before, now):
            for name in keys:
                del headers[name]
        elif stays and _PASSED_BY.genuine and not over_others:
            return  # all that requests would do is to ask ~/.netrc
    found(prepared_request, response)
