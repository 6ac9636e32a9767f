export const SIGNAL_WORDS = { TRACES: 'traces', METRICS: 'metrics', LOGS: 'logs' } as const
