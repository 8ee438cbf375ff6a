/**
 * Milliseconds on the clock that all processes of the machine share. `performance.timeOrigin` is no such thing: it is read in two steps, and
 * was seen to differ by 100 ms between processes that started while the machine was busy.
 */
export const now = () => Number(process.hrtime.bigint()) / 1e6;
