/** Which sentence describes an instance. */
type Rollout = { applied: number; reachable: number; unreachable: number };
export type StateKind = 'healthy' | 'applying' | 'unreachable' | 'noNode' | 'suspended';

export function stateOf(state: 'running' | 'suspended' | 'deleting', rollout: Rollout | undefined): StateKind {
  if (state !== 'running') return 'suspended';
  if (rollout === undefined || rollout.reachable === 0) return 'noNode';
  if (rollout.unreachable > 0) return 'unreachable';
  return rollout.applied < rollout.reachable ? 'applying' : 'healthy';
}
