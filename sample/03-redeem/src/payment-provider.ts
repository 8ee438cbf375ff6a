import { BadGatewayException, Injectable } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Stands for a service somewhere else, that knows an authorisation by its key.
 * PROVIDER_URL: one that is there, asked by POST. Without it PROVIDER_MS: how long the pretended one takes.
 */
@Injectable()
export class PaymentProvider {
  async authorise(key: string, amount: number): Promise<void> {
    const url = process.env['PROVIDER_URL'];
    if (!url) return sleep(Number(process.env['PROVIDER_MS'] || 20));
    const headers = { 'content-type': 'application/json', 'idempotency-key': key };
    const { ok } = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ amount }) });
    if (!ok) throw new BadGatewayException('the payment was not authorised');
  }
}
