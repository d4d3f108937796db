import cliProgress from "cli-progress";

export interface Progress {
  accepted(): void;
  settled(): void;
  stop(): void;
}

const LINE_EVERY_MS = 2_000;
const FORMAT = "{name} [{bar}] {percentage}%  {value}/{total}";

/** Two bars on a terminal, otherwise a line every two seconds. */
export function showProgress(total: number, isTerminal: boolean, log: (line: string) => void): Progress {
  return isTerminal ? bars(total) : lines(total, log);
}

function bars(total: number): Progress {
  const both = new cliProgress.MultiBar(
    { format: FORMAT, barsize: 40, hideCursor: true, fps: 10 },
    cliProgress.Presets.shades_grey,
  );
  const accepted = both.create(total, 0, { name: "accepted" });
  const settled = both.create(total, 0, { name: "settled " });
  return { accepted: () => accepted.increment(), settled: () => settled.increment(), stop: () => both.stop() };
}

function lines(total: number, log: (line: string) => void): Progress {
  const done = { accepted: 0, settled: 0 };
  const show = () => log(`${done.accepted} of ${total} accepted, ${done.settled} settled`);
  const timer = setInterval(show, LINE_EVERY_MS);
  return {
    accepted: () => void (done.accepted += 1),
    settled: () => void (done.settled += 1),
    stop() {
      clearInterval(timer);
      show();
    },
  };
}
