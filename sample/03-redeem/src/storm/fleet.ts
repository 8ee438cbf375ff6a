import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from './random.js';
import { ApplicationProcess } from './application.process.js';

/** What was done to the processes. */
export interface Troubles {
  stopped: number;
  killed: number;
  /** Of these, how many were at the policy: they had claimed it, and nobody else came before their lease had run out. */
  holdersStopped: number;
  holdersKilled: number;
}

/** Who has claimed the policy last, and with which fence. */
export type WhoHolds = () => Promise<{ holder: number | null; fence: string }>;

const LEASE_MS = 2000;
const BELOW_LEASE_MS = 500;

/** The processes of the application, and what befalls them. */
export class Fleet {
  readonly troubles: Troubles = { stopped: 0, killed: 0, holdersStopped: 0, holdersKilled: 0 };
  private readonly processes: ApplicationProcess[];
  private readonly stoppedOnes = new Set<ApplicationProcess>();

  constructor(
    size: number,
    private readonly random: Random,
    private readonly whoHolds: WhoHolds,
  ) {
    this.processes = Array.from({ length: size }, () => new ApplicationProcess());
  }

  async start(): Promise<void> {
    await Promise.all(this.processes.map((one) => one.start()));
  }

  /** Any, as a load balancer would that does not know yet who is stopped; `undefined` while all are starting. */
  pick(): string | undefined {
    return this.random.pick(this.processes.flatMap(({ url }) => url ?? []));
  }

  /** Stops or kills one, preferably who holds the lock; resolves when it is back. One is always left to serve. */
  async trouble(): Promise<void> {
    const { holder, fence } = await this.whoHolds();
    const awake = this.processes.filter((one) => one.url !== undefined && !this.stoppedOnes.has(one));
    const victim = awake.find(({ pid }) => pid === holder) ?? this.random.pick(awake);
    if (victim === undefined || awake.length < 2) return;
    const isKill = this.random.between(0, 3) < 1;
    const back = isKill ? this.kill(victim) : this.stop(victim);
    await sleep(BELOW_LEASE_MS);
    if ((await this.whoHolds()).fence === fence) this.troubles[isKill ? 'holdersKilled' : 'holdersStopped']++;
    await back;
  }

  /** All finish what they are at. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await Promise.all(this.processes.map((one) => one.end(signal)));
  }

  private async kill(victim: ApplicationProcess): Promise<void> {
    this.troubles.killed++;
    await victim.end('SIGKILL');
    await victim.start();
  }

  /** For a moment, or for longer than its lease. */
  private async stop(victim: ApplicationProcess): Promise<void> {
    this.troubles.stopped++;
    this.stoppedOnes.add(victim);
    victim.signal('SIGSTOP');
    await sleep(this.random.between(BELOW_LEASE_MS + 100, 2 * LEASE_MS));
    victim.signal('SIGCONT');
    this.stoppedOnes.delete(victim);
  }
}
