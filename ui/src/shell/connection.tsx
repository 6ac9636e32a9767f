'use client'
/** Whether what is on the page is still true: a mark in the head of the page, and a banner when it is not. */
import { useEffect, useState } from 'react'
import { Button } from '@/components/button'
import { Command } from '@/components/code'
import { Icon } from '@/components/icons'
import { BANNER_ID } from '@/components/link'
import { Popover } from '@/components/popover'
import { Ago } from '@/components/time'
import { useNow } from '@/lib/clock'
import { ago, clock, plural } from '@/lib/format'
import { askAgain, type Phase } from '@/lib/live'
import { useConnection, useMeta } from '@/lib/queries'

const PHASES: Readonly<Record<Phase, { word: string; dot: string }>> = {
  live: { word: 'Live', dot: 'bg-ok-fill' },
  connecting: { word: 'Connecting', dot: 'bg-rest-fill' },
  lost: { word: 'No connection', dot: 'bg-bad-fill' },
}

const LOCAL = new Set(['localhost', '127.0.0.1', '[::1]'])

export function ConnectionMark() {
  const { phase } = useConnection()
  const look = PHASES[phase]
  return (
    <Popover
      label="Connection and control plane"
      trigger={
        <button
          type="button"
          data-connection={phase}
          aria-label={`Connection: ${look.word}`}
          className="inline-flex min-h-9 items-center gap-2 rounded-lg px-2.5 text-sm text-muted hover:bg-sunken hover:text-text"
        >
          <span className={`size-2 rounded-full ${look.dot}`} />
          <span className="max-sm:sr-only">{look.word}</span>
        </button>
      }
    >
      <ControlPlane />
    </Popover>
  )
}

function ControlPlane() {
  const connection = useConnection()
  const meta = useMeta()
  const now = useNow()
  const { refetch } = meta
  useEffect(() => {
    void refetch()
  }, [refetch])
  const heard = connection.heard ? `last heard ${ago(connection.heard, now)}` : 'not heard yet'
  return (
    <div className="space-y-3">
      <p>
        <span className="font-semibold">{PHASES[connection.phase].word}</span> <span className="text-muted">· {heard}</span>
      </p>
      {meta.data && (
        <>
          <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1">
            <Fact name="odigos-cp" value={meta.data.version} />
            <Fact name="Kubernetes" value={meta.data.clusterVersion || 'unknown'} />
            <Fact name="Namespace" value={meta.data.namespace} />
            <Fact name="Read" value={`${meta.data.syncedKinds} of ${meta.data.kinds} kinds of objects`} />
            <Fact name="Controllers" value={meta.data.leader ? 'run in this replica' : 'run in another replica'} />
          </dl>
          {meta.data.tasks.length > 0 && (
            <ul className="space-y-1.5 border-t border-line pt-3">
              {meta.data.tasks.map((task) => (
                <li key={task.name} className="flex items-start gap-2">
                  <Icon
                    name={task.lastError ? 'alert' : task.running ? 'check' : 'ring'}
                    className={`mt-0.5 size-4 ${task.lastError ? 'text-warn' : task.running ? 'text-ok' : 'text-muted'}`}
                  />
                  <span className="min-w-0 flex-1">
                    {task.name}
                    {task.lastError && <span className="block text-muted">{task.lastError}</span>}
                    {task.waiting > 0 && (
                      <span className="block text-muted">
                        {plural(task.waiting, 'object')} {task.waiting === 1 ? 'waits' : 'wait'} until what was written is seen
                      </span>
                    )}
                  </span>
                  <span className="text-muted">
                    {task.lastError ? '' : task.running ? <Ago at={task.lastSuccess} /> : 'not running here'}
                  </span>
                </li>
              ))}
            </ul>
          )}
        </>
      )}
    </div>
  )
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <>
      <dt className="text-muted">{name}</dt>
      <dd>{value}</dd>
    </>
  )
}

/** The port-forward is gone: since when what is shown is old, and the command to run again. */
export function ConnectionBanner() {
  const { phase, heard } = useConnection()
  const now = useNow()
  const [address, setAddress] = useState({ local: true, port: '3000' })
  useEffect(() => setAddress({ local: LOCAL.has(location.hostname), port: location.port || '80' }), [])
  if (phase !== 'lost') return null
  const meanwhile = heard ? `What you see is as of ${clock(heard)}, ${ago(heard, now)}.` : 'Nothing could be read yet.'
  return (
    <div id={BANNER_ID} tabIndex={-1} role="alert" className="border-b border-bad-fill bg-bad-soft outline-none">
      <div className="mx-auto flex max-w-6xl flex-wrap items-center gap-x-4 gap-y-2 px-4 py-3 sm:px-6">
        <p className="min-w-0 flex-1 basis-80 text-bad">
          <strong className="font-semibold">odigos-cp does not answer.</strong>{' '}
          <span className="text-text">
            {meanwhile} {address.local ? 'If the port-forward has ended, run it again:' : 'The page goes on when it is back.'}
          </span>
        </p>
        {address.local && (
          <Command
            text={`kubectl port-forward -n odigos-system svc/odigos-ui ${address.port}:3000`}
            label="Copy the command"
          />
        )}
        <Button size="small" onClick={askAgain}>
          Try now
        </Button>
      </div>
    </div>
  )
}
