'use client'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Button } from '@/components/button'
import { Code } from '@/components/code'
import { Dialog } from '@/components/dialog'
import { Problem } from '@/components/feedback'
import { useNotify } from '@/components/notices'
import { api, problemOf } from '@/lib/api'
import type { DestinationView } from '@/lib/api.gen'
import { bytes } from '@/lib/format'

export function RemoveDialog({ item, onClose }: { item: DestinationView; onClose: () => void }) {
  const client = useQueryClient()
  const notify = useNotify()
  const write = useMutation({
    mutationFn: () => api.removeDestination(item.name),
    onSettled: () => client.invalidateQueries({ queryKey: ['destinations'] }),
    onSuccess: () => {
      onClose()
      notify({ text: `${item.display} is deleted.` })
    },
  })
  return (
    <Dialog
      title={`Delete ${item.display}?`}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Keep it</Button>
          <Button kind="danger" icon="trash" busy={write.isPending} onClick={() => write.mutate()}>
            Delete
          </Button>
        </>
      }
    >
      <div className="space-y-3">
        {write.error && <Problem problem={problemOf(write.error)} />}
        <p>The collectors stop sending to it within seconds; other destinations are not touched.</p>
        {item.queuedBytes > 0 && <p>{bytes(item.queuedBytes)} that wait for it are lost.</p>}
        {item.secretFields.length > 0 && <p>The Secret that was made for it goes too.</p>}
        <Code text={item.kubectl} label="kubectl command" />
      </div>
    </Dialog>
  )
}
