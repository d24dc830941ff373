-- Retires a topic whose progress in all was `moved`: whatever moves it since then takes that back.
INSERT INTO retired_topics (cluster_id, topic, moved)
VALUES ({cluster_id:String}, {topic:String}, {moved:UInt64})
