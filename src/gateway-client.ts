/** What a gateway's adapter calls a client: Socket.IO's, or one of the WebSocket standard. */
interface GatewayClient {
  readonly readyState?: unknown;
  send?(text: string): unknown;
  emit?(event: string, data: unknown): unknown;
}

/**
 * Sends an event to a client of a gateway, in the format of its adapter. A socket of `ws` has an `emit` as well, which tells listeners in
 * this process and sends nothing.
 */
export function sendEvent(client: GatewayClient, event: string, data: unknown): void {
  if (typeof client.readyState === 'number' && typeof client.send === 'function')
    client.send(JSON.stringify({ event, data }));
  else client.emit?.(event, data);
}
