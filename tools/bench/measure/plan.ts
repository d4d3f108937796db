/** How much is measured: in full, or --quick, which takes about three minutes. */
export interface Plan {
  /** `warmUpSeconds`: per server. V8 takes tens of thousands of requests until the rate stops growing. */
  accept: { clients: readonly number[]; rounds: number; seconds: number; warmUpSeconds: number };
  latency: { perSecond: readonly number[]; rounds: number; seconds: number; warmUpSeconds: number };
  drain: { commands: number; rounds: number };
  memory: { backlogs: readonly number[]; settleMs: number };
  times: { reconnects: number; starts: number; singles: number; cadAwayMs: readonly number[] };
  events: { rounds: number; seconds: number; warmUpSeconds: number; burst: number };
  edge: { clients: readonly number[]; rounds: number; seconds: number };
  naive: { perSecond: readonly number[]; rounds: number; seconds: number; warmUpSeconds: number; drain: number };
  backlog: { short: number; long: number; settleMs: number };
  /** `journal`: entries of the long journal. */
  growth: { rounds: number; commands: number; journal: number };
}

export const FULL: Plan = {
  accept: { clients: [1, 16, 64], rounds: 5, seconds: 0.6, warmUpSeconds: 15 },
  latency: { perSecond: [200, 1000, 2000], rounds: 3, seconds: 2, warmUpSeconds: 15 },
  drain: { commands: 20_000, rounds: 3 },
  memory: { backlogs: [0, 10_000, 100_000], settleMs: 2500 },
  times: { reconnects: 10, starts: 3, singles: 100, cadAwayMs: [500, 2000, 8000] },
  events: { rounds: 3, seconds: 2, warmUpSeconds: 5, burst: 10_000 },
  edge: { clients: [1, 16], rounds: 3, seconds: 1 },
  naive: { perSecond: [200, 1000, 2000], rounds: 3, seconds: 3, warmUpSeconds: 10, drain: 50_000 },
  backlog: { short: 20_000, long: 1_000_000, settleMs: 2500 },
  growth: { rounds: 3, commands: 20_000, journal: 1_000_000 },
};

export const QUICK: Plan = {
  accept: { clients: [1, 64], rounds: 2, seconds: 0.5, warmUpSeconds: 8 },
  latency: { perSecond: [1000], rounds: 1, seconds: 2, warmUpSeconds: 10 },
  drain: { commands: 10_000, rounds: 1 },
  memory: { backlogs: [0, 30_000], settleMs: 1500 },
  times: { reconnects: 3, starts: 1, singles: 50, cadAwayMs: [500, 2000] },
  events: { rounds: 1, seconds: 2, warmUpSeconds: 2, burst: 4000 },
  edge: { clients: [16], rounds: 1, seconds: 1 },
  naive: { perSecond: [200, 1000, 2000], rounds: 1, seconds: 3, warmUpSeconds: 6, drain: 20_000 },
  backlog: { short: 20_000, long: 100_000, settleMs: 1500 },
  growth: { rounds: 1, commands: 10_000, journal: 100_000 },
};

/** The same plan with rounds of `seconds`, for a short look at one part. */
export const withSeconds = (plan: Plan, seconds: number): Plan => ({
  ...plan,
  accept: { ...plan.accept, seconds },
  latency: { ...plan.latency, seconds },
  events: { ...plan.events, seconds },
  edge: { ...plan.edge, seconds },
  naive: { ...plan.naive, seconds },
});
