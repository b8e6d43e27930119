"""What to try next, to be copied into another terminal."""

from config.settings import Settings

# Everything stands in one document that the shell passes on as it is: what is signed is what is sent.
_DEMO = """\
Write to the shop as a customer would, in another terminal:

  BODY='{{"object":"whatsapp_business_account","entry":[{{"id":"200000000000001","changes":[{{"field":"messages",\
"value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"27110000001",\
"phone_number_id":"100000000000001"}},"contacts":[{{"profile":{{"name":"Zanele"}},"wa_id":"27821234567"}}],\
"messages":[{{"from":"27821234567","id":"wamid.'$(date +%s%N)'","timestamp":"'$(date +%s)'","type":"text",\
"text":{{"body":"Hello"}}}}]}}}}]}}]}}'
  SIGNATURE=$(printf %s "$BODY" | openssl dgst -sha256 -hmac '{secret}' | sed 's/^.* //')
  curl -i -H 'Content-Type: application/json' -H "X-Hub-Signature-256: sha256=$SIGNATURE" --data-raw "$BODY" \\
    {api}/api/v1/webhooks/whatsapp
  sleep 1; curl '{sandbox}/sandbox/outbox?to=27821234567'

Or search the shop as a program of its own does; {api}/docs shows all that there is:

  curl -H "Authorization: Bearer $(.venv/bin/spaza tenant token)" '{api}/api/v1/products?q=bread&lat=-26.24&lon=27.85'
"""
_REAL = """\
Point your Meta app's webhook at {api}/api/v1/webhooks/whatsapp, as it is reached from outside, with the verify token
of SPAZA_WHATSAPP__VERIFY_TOKEN. How it goes: spaza status
"""


def next_thing(settings: Settings, api: str, *, demo: bool) -> str:
    """Commands that work as they stand; ``api`` is where they reach it."""
    if not demo:
        return _REAL.format(api=api)
    # A secret that was set is not printed; the shell has it.
    own = settings.whatsapp.app_secret.get_secret_value()
    secret = own if own == "sandbox-app-secret" else "'\"${SPAZA_WHATSAPP__APP_SECRET%%,*}\"'"
    return _DEMO.format(api=api, sandbox=f"http://127.0.0.1:{settings.sandbox.port}", secret=secret)
