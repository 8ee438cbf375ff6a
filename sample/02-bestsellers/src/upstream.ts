import { Injectable } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';

export const MODES = ['ok', 'slow', 'failing', 'dead'] as const;
export type Mode = (typeof MODES)[number];

/** Whether the database behind the shop is well. A person turns it by `POST /upstream/<mode>`. */
@Injectable()
export class Upstream {
  mode: Mode = 'ok';
  /** How often it was asked. */
  queries = 0;

  /** Takes as long, and ends as badly, as the mode says. */
  async answer(signal: AbortSignal): Promise<void> {
    this.queries++;
    if (this.mode === 'failing') throw new Error('the sales database refused the query');
    if (this.mode === 'dead') await sleep(3_600_000, undefined, { signal, ref: false });
    await sleep(this.mode === 'slow' ? 2000 : 100, undefined, { signal, ref: false });
  }
}
