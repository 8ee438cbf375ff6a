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
/** For so long a lock that others wait for does not stay with one who can go on. */
const HAND_OVER_MS = 100;
const ATTEMPTS = 10;

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

  /** Stops or kills one, if it can who holds the lock; resolves when it is back. One is always left to serve. */
  async trouble(): Promise<void> {
    const { victim, fence, isHolder } = await this.stopHolder();
    if (victim === undefined) return;
    const isKill = this.isKillNext();
    const back = isKill ? this.kill(victim) : this.stop(victim);
    await sleep(BELOW_LEASE_MS);
    if (isHolder && (await this.whoHolds()).fence === fence)
      this.troubles[isKill ? 'holdersKilled' : 'holdersStopped']++;
    await back;
  }

  /** All finish what they are at. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await Promise.all(this.processes.map((one) => one.end(signal)));
  }

  /** At random, but what has befallen no holder yet comes first. */
  private isKillNext(): boolean {
    const [stopped, killed] = [this.troubles.holdersStopped > 0, this.troubles.holdersKilled > 0];
    return stopped === killed ? this.random.between(0, 3) < 1 : stopped;
  }

  /** Who holds may be done before the signal is there: then it goes on, and the next is stopped. */
  private async stopHolder(): Promise<{ victim?: ApplicationProcess; fence: string; isHolder: boolean }> {
    for (let attempt = 1; ; attempt++) {
      const { holder, fence } = await this.whoHolds();
      const awake = this.processes.filter((one) => one.url !== undefined && !this.stoppedOnes.has(one));
      const victim = awake.find(({ pid }) => pid === holder) ?? this.random.pick(awake);
      if (victim === undefined || awake.length < 2) return { fence, isHolder: false };
      const isHolder = victim.pid === holder;
      victim.signal('SIGSTOP');
      this.stoppedOnes.add(victim);
      await sleep(HAND_OVER_MS);
      if (attempt === ATTEMPTS || (await this.whoHolds()).fence === fence) return { victim, fence, isHolder };
      this.resume(victim);
    }
  }

  private resume(victim: ApplicationProcess): void {
    victim.signal('SIGCONT');
    this.stoppedOnes.delete(victim);
  }

  private async kill(victim: ApplicationProcess): Promise<void> {
    this.troubles.killed++;
    await victim.end('SIGKILL');
    this.stoppedOnes.delete(victim);
    await victim.start();
  }

  /** For a moment, or for longer than its lease. */
  private async stop(victim: ApplicationProcess): Promise<void> {
    this.troubles.stopped++;
    await sleep(this.random.between(BELOW_LEASE_MS + 100, 2 * LEASE_MS));
    this.resume(victim);
  }
}
