"""request-validator: what the route's operations do not take is refused, naming each field.

Kong has it in its paid edition alone; there a schema stands in the plugin's settings. Here the models of the operations
are the schema, from which the API is served and documented as well.

Source: Kong's documentation of request-validator (priority 999), for its answers and for content types.
"""

from config.plugins import RequestValidatorOptions
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.context import context_of
from gateway.operations import Matched, Operations
from gateway.policy import Policy
from gateway.refusal import Refusal
from gateway.validation import validated


class RequestValidator:
    """Refuses requests that are not right. What is no operation at all it leaves to the application.

    In shadow it lets pass what can be read nevertheless, as with a content type that is not allowed; what the models do
    not take cannot be carried out, and the application refuses it.

    Args:
        app: the rest of the chain.
        options: see there.
        policy: carries out the refusals.
        operations: of the route.
    """

    def __init__(self, app: ASGIApp, options: RequestValidatorOptions, policy: Policy, operations: Operations) -> None:
        self._app, self._options, self._policy, self._operations = app, options, policy, operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at one request."""
        context = context_of(scope)
        found = self._operations.find(scope["method"], context.path)
        if isinstance(found, Matched):
            exact, query = self._options.content_type_parameter_validation, scope.get("query_string", b"")
            call = validated(found, context, query, exact_types=exact)
            if isinstance(call, Refusal):
                if await self._policy.refuses(scope, send, self._worded(call)):
                    return
                call = validated(found, context, query, any_type=True)
            if not isinstance(call, Refusal):
                context.call = call
        await self._app(scope, receive, send)

    def _worded(self, refusal: Refusal) -> Refusal:
        return refusal if self._options.verbose_response else refusal._replace(errors=())
