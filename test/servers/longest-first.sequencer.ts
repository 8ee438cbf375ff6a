import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Specs that take five seconds and more on a quiet machine, the longest first; but those that load a core lie between those that wait. */
const LONGEST = [
  'races/no-resurrection',
  'nest/sample-03',
  'locks/faults.redis',
  'packaging/consumers',
  'processes/outbox-crash',
  'nest/sample-02',
  'processes/warm-up',
  'http/isolation',
  'locks/faults.memcached',
  'core/memory-limits',
  'faults/cluster',
  'packaging/nest-11',
  'locks/random-schedule',
  'faults/invalidation-queue',
  'invalidation/pages.processes',
  'http/outer-interceptors',
  'stores/memcached',
  'http/defects',
  'locks/cache-lock.service',
  'http/clients',
  'conformance/locks.memcached',
  'http/foreign-inputs',
  'conformance/locks.redis',
  'core/codec.hostile',
  'http/guards',
];

/**
 * Begins with what takes longest, so that no worker is left alone with it at the end. In a fresh checkout vitest knows no durations. Who takes
 * turns in a process comes after those who have one of their own, or the process would end in between.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => this.place(a) - this.place(b));
  }

  private place({ moduleId, project }: TestSpecification): number {
    const place = LONGEST.findIndex((name) => moduleId.endsWith(`/test/${name}.spec.ts`));
    return (project.config.isolate ? 0 : 1000) + (place === -1 ? LONGEST.length : place);
  }
}
