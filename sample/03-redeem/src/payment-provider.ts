import { Injectable } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';

/** Stands for a service somewhere else, that knows an authorisation by its key. PROVIDER_MS: how long it takes. */
@Injectable()
export class PaymentProvider {
  async authorise(_key: string, _amount: number): Promise<void> {
    await sleep(Number(process.env['PROVIDER_MS'] || 20));
  }
}
