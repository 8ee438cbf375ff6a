import { READS_AT_ONCE } from '../../stores/contract/cache-store.js';

/** The questions that are sent together. */
export interface Tick<Q, A> {
  readonly questions: Q[];
  /** In the order of the questions. */
  readonly answers: Promise<A[]>;
  readonly send: () => void;
}

/** Collects what is asked in one tick of the event loop, to be sent together; each batch that does not wait for the end of the tick is twice as large. */
export class ReadTicks<Q, A> {
  private tick: Tick<Q, A> | undefined;
  private full = READS_AT_ONCE;

  constructor(private readonly answer: (questions: readonly Q[]) => Promise<A[]>) {}

  /** Adds a question, as the last one so far. */
  ask(question: Q): Tick<Q, A> {
    const tick = (this.tick ??= this.begin());
    if (tick.questions.push(question) === this.full) {
      this.tick = undefined;
      this.full *= 2;
      tick.send();
    }
    return tick;
  }

  private begin(): Tick<Q, A> {
    const questions: Q[] = [];
    let send = (): void => undefined;
    const answers = new Promise<A[]>((resolve) => (send = () => resolve(this.answer(questions))));
    const tick = { questions, answers, send };
    queueMicrotask(() => this.end(tick));
    return tick;
  }

  private end(tick: Tick<Q, A>): void {
    this.full = READS_AT_ONCE;
    if (this.tick !== tick) return;
    this.tick = undefined;
    tick.send();
  }
}
