"""`WS /v1/ws`, the native WebSocket `tokentape.v1` (docs/websocket.md): everything on one connection.

routes          who may come in, and in which language
conversation    reader → inbox → one worker → outbox → writer, until either side ends it; for any language
connection      the native language
requests        what each operation does
subscriptions   the watchers of a connection, and whose turn it is
attendance      the members who are present through a connection
ai_sdk          the language of the AI SDK's chats, on `WS /api/chat`
ai_sdk_answers  the answers that such a connection is getting
chunk           the `chunk` convention, on `WS /v1/ws/chunk`
"""
