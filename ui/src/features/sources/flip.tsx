'use client'
/** Flipping a switch: first what it brings about, then the write, then a way back. Nothing restarts unannounced. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useRef, useState, type ReactNode } from 'react'
import { Button } from '@/components/button'
import { Code } from '@/components/code'
import { Dialog } from '@/components/dialog'
import { Problem } from '@/components/feedback'
import { Icon } from '@/components/icons'
import { useNotify } from '@/components/notices'
import { api, problemOf } from '@/lib/api'
import type { SwitchPlanView } from '@/lib/api.gen'
import { plural } from '@/lib/format'
import { useConnection, useDestinations } from '@/lib/queries'

export interface Flip {
  /** namespace/Kind/name; of a whole namespace: namespace/Namespace/namespace. */
  id: string
  on: boolean
}

const NAMED = 6

export const namespaceId = (name: string): string => `${name}/Namespace/${name}`

const isNamespace = (id: string): boolean => id.split('/')[1] === 'Namespace'

const nameOf = (id: string): string => id.split('/')[2] ?? id

/** `ask` opens the dialog, `dialog` is to be rendered. */
export function useFlip(): { ask: (flip: Flip) => void; dialog: ReactNode } {
  const [asked, setAsked] = useState<Flip>()
  return {
    ask: setAsked,
    dialog: asked && <FlipDialog key={`${asked.id} ${asked.on}`} flip={asked} onClose={() => setAsked(undefined)} />,
  }
}

function FlipDialog({ flip, onClose }: { flip: Flip; onClose: () => void }) {
  const { id, on } = flip
  const client = useQueryClient()
  const notify = useNotify()
  const isAway = useConnection().phase === 'lost'
  const first = useRef<HTMLButtonElement>(null)
  const plan = useQuery({ queryKey: ['plan', id, on], queryFn: () => api.plan(id, on), staleTime: 0, gcTime: 0, retry: 0 })
  const write = useMutation({
    mutationFn: (wish: Flip) => api.instrument(wish.id, wish.on),
    onSettled: () => client.invalidateQueries({ queryKey: ['sources'] }),
  })
  const what = isNamespace(id) ? `namespace ${nameOf(id)}` : nameOf(id)

  async function confirm(): Promise<void> {
    await write.mutateAsync(flip)
    onClose()
    notify({
      text: on ? `Asked for: ${what} is being instrumented.` : `Asked for: ${what} is being taken back.`,
      undo: () => void api.instrument(id, !on).finally(() => client.invalidateQueries({ queryKey: ['sources'] })),
    })
  }

  const problem = write.error ?? plan.error
  const isHopeless = plan.isError || Boolean(plan.data?.blockedBy)
  return (
    <Dialog
      first={first}
      onClose={onClose}
      title={on ? `Instrument ${what}?` : `Take the agent out of ${what}?`}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            ref={first}
            kind="primary"
            busy={write.isPending}
            aria-disabled={isHopeless || isAway || !plan.data || undefined}
            onClick={() => {
              if (plan.data && !isHopeless && !isAway) void confirm().catch(() => {})
            }}
          >
            {on ? 'Instrument' : 'Take it back'}
          </Button>
        </>
      }
    >
      <div className="min-h-24 space-y-4" aria-busy={plan.isPending}>
        {problem && <Problem problem={problemOf(problem)} />}
        {plan.data && <Plan plan={plan.data} whole={isNamespace(id)} />}
      </div>
    </Dialog>
  )
}

function Plan({ plan, whole }: { plan: SwitchPlanView; whole: boolean }) {
  if (plan.blockedBy) {
    return (
      <Problem
        problem={{
          type: 'blocked',
          title: 'Blocked',
          status: 409,
          field: '',
          detail: `The Source ${plan.blockedBy} decides otherwise, so the switch would change nothing.`,
          fix: 'Change or delete that Source first.',
        }}
      />
    )
  }
  return (
    <>
      <ol className="space-y-2.5">
        {steps(plan, whole).map((step, index) => (
          <li key={index} className="flex gap-3">
            <span className="grid size-6 shrink-0 place-items-center rounded-full bg-accent-soft text-[0.8125rem] font-semibold text-accent">
              {index + 1}
            </span>
            <span className="min-w-0">{step}</span>
          </li>
        ))}
      </ol>
      {whole && plan.changes.length > 1 && (
        <Names names={plan.changes.map((change) => nameOf(change.id))} total={plan.changeCount} />
      )}
      {plan.unchangedCount > 0 && whole && (
        <p className="text-muted">
          {plural(plan.unchangedCount, 'application')} {plan.unchangedCount === 1 ? 'is' : 'are'}{' '}
          {plan.instrument ? 'asked for' : 'left alone'} already.
        </p>
      )}
      {plan.keptOutCount > 0 && (
        <p className="text-muted">
          {plan.keptOut.slice(0, NAMED).map(nameOf).join(', ')}
          {plan.keptOutCount > NAMED && ` and ${plan.keptOutCount - NAMED} more`} stay as they are: Sources of their own say so.
        </p>
      )}
      <details className="group">
        <summary className="inline-flex items-center gap-1.5 rounded-md text-sm font-medium text-accent">
          <Icon name="chevron" className="size-4 transition-transform group-open:rotate-90" />
          The same with kubectl
        </summary>
        <div className="mt-2">
          <Code text={plan.kubectl} label="kubectl command" />
        </div>
      </details>
    </>
  )
}

function Names({ names, total }: { names: readonly string[]; total: number }) {
  return (
    <ul className="flex flex-wrap gap-1.5">
      {names.slice(0, NAMED).map((name, index) => (
        <li key={index} className="max-w-full truncate rounded-md bg-sunken px-2 py-0.5 text-sm">
          {name}
        </li>
      ))}
      {total > NAMED && <li className="px-1 py-0.5 text-sm text-muted">and {total - NAMED} more</li>}
    </ul>
  )
}

function steps(plan: SwitchPlanView, whole: boolean): string[] {
  const pods = plural(plan.podCount, 'pod')
  if (!plan.instrument) {
    const restart = plan.podCount
      ? `${pods} of ${plural(plan.restartCount, 'application')} ${plan.podCount === 1 ? 'is' : 'are'} replaced by such without the agent, a few at a time.`
      : 'Nothing restarts: no pod carries the agent.'
    return [restart, 'The pod templates are again exactly what they were before.']
  }
  const only = plan.changeCount === 1 ? nameOf(plan.changes[0]?.id ?? '') : ''
  const look = `odigos-cp looks at the running processes, to see what ${only ? `${only} is` : `${plural(plan.changeCount, 'application')} are`} written in.`
  const atOnce = plan.changeCount > plan.maxConcurrent ? `, at most ${plural(plan.maxConcurrent, 'application')} at the same time` : ''
  const restart = !plan.automatic
    ? 'Nothing restarts by itself (rollout.automatic is off): the agent comes with the next restart that you make.'
    : plan.podCount
      ? `Where there is an agent, the pods are replaced once, as each update strategy says: up to ${pods}${atOnce}.`
      : 'It has no pods now, so nothing restarts; those to come carry the agent.'
  const later = whole ? ['Applications that come to this namespace later are instrumented too.'] : []
  return plan.changeCount === 0 && whole ? [...later] : [look, restart, ...later]
}

/** Whether there is anywhere to send to; while there is not, applications wait unchanged. */
export function useHasDestination(): boolean | undefined {
  const destinations = useDestinations().data
  return destinations && destinations.items.some((item) => !item.disabled)
}
