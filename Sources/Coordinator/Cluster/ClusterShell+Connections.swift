import Logging
import Protocol

/// What the user is told about connections and workers that do not work, each once.
extension ClusterShell {
    /// Reads what has happened to connections, and records those that were opened.
    ///
    /// - Returns: failed handshakes
    func noteConnections() throws -> [Rejection] {
        let now = start.duration(to: .now)
        let changes = try socket.connectionChanges()
        for connection in changes.opened { silentConnections.opened(connection, at: now) }
        return changes.rejections
    }

    /// Warns about failed handshakes, and about connections that stay silent.
    func warn(of rejections: [Rejection]) {
        let now = start.duration(to: .now)
        let patience = configuration.policy.silence
        let overdue = silentConnections.overdue(patience, at: now) { connection in
            roster.has(connection) ? nil : connection.peerAddress
        }
        for address in overdue {
            let origin = address.isEmpty ? "on this host" : "from \(address)"
            logger.warning(
                """
                a connection \(origin) has sent nothing for \(patience.components.seconds) s: its program is \
                stopped, or is not a worker of Tessera. Look at the processes there
                """
            )
        }
        rejectionLog.note(
            rejections,
            at: now,
            isExplained: !explained.isEmpty,
            patience: configuration.patienceWithUnknown,
            logger
        )
    }

    /// Remembers that the user was told what is wrong with a worker.
    func explain(_ name: String) {
        if explained.count < 4096 { explained.insert(name) }
    }

    /// Warns about a worker that has fallen silent, unless its host has already reported why.
    func warnOfSilence(of peer: Roster.Peer) {
        let name = peer.hello.name
        let isNew = lost.count < 4096 && lost.insert(name).inserted
        guard isNew, !explained.contains(name) else { return }
        let seconds = configuration.policy.silence.components.seconds
        logger.warning(
            """
            worker \(name) has not been heard from for \(seconds) s: \(fate(ofWorkOf: peer)). Check that its host runs \
            and that the network reaches it
            """
        )
    }

    /// Warns about a machine that joined by invitation and is gone in the middle of a render: nobody else would report
    /// it.
    func warnOfLoss(of peer: Roster.Peer, _ loss: WorkerLoss) {
        guard !jobs.isEmpty, loss == .left || loss == .vanished, let key = peer.origin.key,
            let members = try? configuration.joined?.book().members,
            members.contains(where: { $0.key == key }),
            lost.count < 4096, lost.insert(peer.hello.name).inserted
        else { return }
        let manner = loss == .left ? "has left" : "is gone: its connection ended"
        logger.warning("worker \(peer.hello.name) \(manner): \(fate(ofWorkOf: peer))")
    }

    /// What becomes of the work of a worker that is gone.
    private func fate(ofWorkOf peer: Roster.Peer) -> String {
        if roster.all.contains(where: { $0.worker != peer.worker }) {
            return "its work goes to others"
        }
        let patience = configuration.policy.grace.components.seconds
        return state.isClosed
            ? "no worker is left" : "no worker is left, and others are waited for, \(patience) s"
    }

    /// Warns about workers that were given work long ago and never answered.
    func warnOfMuteWorkers() {
        let now = start.duration(to: .now)
        let statistics = board.statistics
        for peer in roster.all {
            guard let since = firstTask[peer.worker], now - since >= configuration.policy.silence
            else { continue }
            let work = statistics[peer.place]
            guard work.views + work.tiles == 0, !refused.contains(peer.worker) else { continue }
            logger.warning(
                "worker \(peer.hello.name) was given work and never answered: look at its host and its log"
            )
        }
    }
}
